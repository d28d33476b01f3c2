// Package blobs keeps bytes under their SHA-256, for whoever serves files to
// machines: the server's depot and a site's relay.
//
// Names are made here and from hashes alone, in one folder that is never left.
// Nothing is kept that is not what it was named, and nothing is given out before
// it was read through. What is not needed goes, the least recently used first.
package blobs
