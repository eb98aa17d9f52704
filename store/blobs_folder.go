package store

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"syscall"
)

// folders is how many folders are kept open: os.Root opens each part of a path by itself, which for the
// thousands of files in the folder of a batch is most of what opening them takes.
const folders = 16

// in runs do in the folder of a path, with the name that is left of it. A folder that was removed
// meanwhile, and perhaps made again, is looked for anew.
func (b *Blobs) in(path string, do func(folder *os.Root, name string) error) error {
	dir, name := filepath.Split(path)
	if dir == "" {
		return do(b.root, name)
	}
	dir = filepath.Clean(dir)
	b.mu.Lock()
	kept := b.folders[dir]
	b.mu.Unlock()
	if kept != nil {
		err := do(kept, name)
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, os.ErrClosed) && !errors.Is(err, syscall.ESTALE) { // of NFS: removed elsewhere
			return err
		}
		b.leave(dir, kept)
	}
	folder, err := b.root.OpenRoot(dir)
	if err != nil {
		return err
	}
	if err := do(folder, name); err != nil {
		return errors.Join(err, folder.Close())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.folders[dir] != nil || b.closed {
		return folder.Close()
	}
	for other := range b.folders {
		if len(b.folders) < folders {
			break
		}
		b.dropFolders(func(dir string) bool { return dir == other })
	}
	b.folders[dir] = folder
	return nil
}

// leave forgets a folder.
func (b *Blobs) leave(dir string, kept *os.Root) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.folders[dir] == kept {
		b.dropFolders(func(other string) bool { return other == dir })
	}
}

// dropFolders closes folders; b.mu is held.
func (b *Blobs) dropFolders(these func(dir string) bool) {
	maps.DeleteFunc(b.folders, func(dir string, f *os.Root) bool {
		if !these(dir) {
			return false
		}
		_ = f.Close() // what was opened in it stays open
		return true
	})
}
