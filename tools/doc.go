// Package tools is the module of what builds and checks what is shipped: the
// image, archives and plugin manifest, and Helm as a pinned tool. It is a module
// of its own, so that the program depends on none of it.
package tools
