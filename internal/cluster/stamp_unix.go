//go:build unix

package cluster

import (
	"io/fs"
	"syscall"
)

func stampFrom(info fs.FileInfo) stamp {
	s := stamp{mtime: info.ModTime(), size: info.Size()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = st.Ino
	}
	return s
}
