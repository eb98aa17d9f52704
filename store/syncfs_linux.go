package store

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// syncTogether makes files durable, names and all, with one call, where that is known to do so
// and to tell of every error: an open file's syncfs(2) tells of all that its file system could not
// write back since it was opened (errseq_t, since Linux 5.8), so the one opened first is asked.
// done is false where it is not known; nothing was synced then.
func syncTogether(files []stagedFile) (done bool, err error) {
	if !tellsErrors() {
		return false, nil
	}
	first := files[0]
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(first.Fd()), &fs); err != nil || !local(int64(fs.Type)) {
		return false, nil
	}
	var device uint64
	for k, f := range files {
		var st unix.Stat_t
		err := unix.Fstat(int(f.Fd()), &st)
		if k == 0 {
			device = uint64(st.Dev)
		}
		if err != nil || f.order == 0 || uint64(st.Dev) != device {
			return false, nil
		}
		if f.order < first.order {
			first = f
		}
	}
	if err := unix.Syncfs(int(first.Fd())); err != nil {
		return true, fmt.Errorf("syncfs: %w", err)
	}
	return true, nil
}

// local says of which file systems syncfs is known to wait until the data is on the disk. Of others
// it may be a wish (FUSE) or a flush of one cache of several.
func local(magic int64) bool {
	switch magic & 0xffffffff {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return true
	}
	return false
}

// tellsErrors: Linux 5.8 or later.
var tellsErrors = sync.OnceValue(func() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	major, rest, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, _ := strconv.Atoi(major)
	b, _ := strconv.Atoi(minor)
	return a > 5 || a == 5 && b >= 8
})

// uncache has the kernel forget the contents of a file that is on the disk, when it likes: a batch of 100,000
// else takes gigabytes of memory from what is read again, and memory that was just released is the
// quickest to write into.
func uncache(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
