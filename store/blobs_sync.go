package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// mostStaged bounds the files that are kept open until they are synced, and eager is how many are
// synced unasked when there are more. A chunk has 50, an upload thousands; what nobody will
// sync, since its batch stopped, does not pile up.
const (
	mostStaged = 512
	eager      = 256
)

// fewSynced is the most files that are synced one by one where one call could do: that writes
// out what others left on the file system, too, which is more work than a few files are.
const fewSynced = 3

// syncers is how many files are synced at once; the file system makes one commit of them.
const syncers = 16

// stagedFile is a blob that was written and not synced. It stays open: that a page could not be
// written back is told to whoever had the file open then, and perhaps to nobody else.
type stagedFile struct {
	*os.File
	id    string
	order uint64 // of opening; 0 for one that was opened again
	size  int64  // 0 where it is not known
}

// stage takes in a written file. When there are too many, the oldest are synced: their own Sync
// finds them durable, or gone.
func (b *Blobs) stage(f stagedFile) {
	b.mu.Lock()
	b.drop(func(id string) bool { return id == f.id }) // its bytes were replaced
	delete(b.settled, f.id)
	b.staged = append(b.staged, f)
	var oldest []stagedFile
	var verdict chan struct{}
	if len(b.staged) > mostStaged {
		oldest, b.staged = b.staged[:eager:eager], slices.Clone(b.staged[eager:])
		verdict = make(chan struct{})
		for _, f := range oldest {
			b.settling[f.id] = verdict
		}
	}
	b.mu.Unlock()
	if len(oldest) == 0 {
		return
	}
	err := b.settle(oldest) // what is lost is remembered
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range oldest {
		if delete(b.settling, f.id); err == nil {
			b.settled[f.id] = nil
		}
	}
	close(verdict)
}

// await waits until none of ids is being synced unasked, and returns with b.mu held.
func (b *Blobs) await(ids []string) {
	for {
		b.mu.Lock()
		k := slices.IndexFunc(ids, func(id string) bool { return b.settling[id] != nil })
		if k < 0 {
			return
		}
		verdict := b.settling[ids[k]]
		b.mu.Unlock()
		<-verdict
	}
}

// drop closes staged files.
func (b *Blobs) drop(these func(id string) bool) {
	b.staged = slices.DeleteFunc(b.staged, func(f stagedFile) bool {
		if these(f.id) {
			_ = f.Close() // nobody wants its bytes
			return true
		}
		return false
	})
}

// forget closes the files of a blob, or of all below a folder, that were not synced.
func (b *Blobs) forget(id string) {
	below := func(name string) bool { return name == id || strings.HasPrefix(name, id+"/") }
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(below)
	b.dropFolders(func(dir string) bool { return below(filepath.ToSlash(dir)) })
	maps.DeleteFunc(b.settled, func(name string, _ error) bool { return below(name) })
}

// take hands over the open files of ids; one that is not among the staged is opened.
func (b *Blobs) take(ids []string) (files []stagedFile, err error) {
	want := make(map[string]bool, len(ids))
	for _, id := range ids {
		want[id] = true
	}
	b.await(ids)
	defer b.mu.Unlock()
	b.staged = slices.DeleteFunc(b.staged, func(f stagedFile) bool {
		if want[f.id] {
			files = append(files, f)
			delete(want, f.id)
			return true
		}
		return false
	})
	for id := range want {
		if lost, ok := b.settled[id]; ok {
			if err = errors.Join(err, lost); lost == nil {
				delete(b.settled, id)
			}
			continue
		}
		at, perr := blobPath(id)
		if perr != nil {
			return files, errors.Join(err, perr)
		}
		f, ferr := b.root.Open(at)
		if errors.Is(ferr, fs.ErrNotExist) {
			ferr = ErrNoBlob
		}
		if err = errors.Join(err, ferr); ferr == nil {
			files = append(files, stagedFile{File: f, id: id})
		}
	}
	return files, err
}

// Sync implements signer.Blobs. After an error it is not tried again: a page that could not be
// written may be called clean from then on. What was asked for is removed instead, to be written anew.
func (b *Blobs) Sync(_ context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	files, err := b.take(ids)
	if err = errors.Join(err, b.settle(files)); err != nil {
		return fmt.Errorf("syncing blobs: %w", away(err))
	}
	return nil
}

// remembered is how many bytes of signed files of one folder the kernel may keep in memory when
// they are on the disk.
const remembered = 512 << 20

// many says whether a file is one of so many signed ones that nobody reads it soon.
func (b *Blobs) many(f stagedFile) bool {
	folder, _ := path.Split(f.id)
	if !strings.HasPrefix(folder, "signed/") {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written[folder] > remembered {
		return true
	}
	b.written[folder] += f.size
	if len(b.written) > folders { // the smallest of the others is forgotten, for it has the longest way
		least := ""
		for other, n := range b.written {
			if other != folder && (least == "" || n < b.written[least]) {
				least = other
			}
		}
		delete(b.written, least)
	}
	return false
}

// settle syncs files with their names, and closes them.
func (b *Blobs) settle(files []stagedFile) error {
	if len(files) == 0 {
		return nil
	}
	err := b.syncAll(files)
	for _, f := range files {
		if err == nil && b.many(f) {
			uncache(f.File)
		}
		err = errors.Join(err, f.Close())
	}
	if err == nil {
		return nil
	}
	err = away(err)
	b.mu.Lock()
	for _, f := range files {
		b.settled[f.id] = err
	}
	b.mu.Unlock()
	for _, f := range files {
		err = errors.Join(err, b.root.Remove(filepath.FromSlash(f.id)))
	}
	return err
}

func (b *Blobs) syncAll(files []stagedFile) error {
	if len(files) > fewSynced {
		if done, err := syncTogether(files); done || err != nil {
			return err
		}
	}
	work, errs := make(chan stagedFile, len(files)), make(chan error, len(files))
	dirs := map[string]bool{}
	for _, f := range files {
		work <- f
		dirs[filepath.Dir(filepath.FromSlash(f.id))] = true
	}
	close(work)
	var wg sync.WaitGroup
	for range min(syncers, len(files)) {
		wg.Go(func() {
			for f := range work {
				errs <- f.Sync()
			}
		})
	}
	wg.Wait()
	close(errs)
	var err error
	for e := range errs {
		err = errors.Join(err, e)
	}
	for dir := range dirs {
		err = errors.Join(err, b.syncDir(dir))
	}
	return err
}
