//go:build !unix

package cluster

import "io/fs"

func stampFrom(info fs.FileInfo) stamp {
	return stamp{mtime: info.ModTime(), size: info.Size()}
}
