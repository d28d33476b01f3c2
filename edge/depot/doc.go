// Package depot keeps package repositories and their snapshots: the vendor's
// own bytes and signatures, content-addressed, so that machines whose only way
// out is the server can install, and so that a cycle can install and roll back
// after the archive has moved on.
//
// A repository's suite is known by its generations: each is one signed index
// (InRelease) with the Packages indexes that it names. A [Snapshot] is the
// generations and packages that a plan was made from. It may carry several
// generations of a suite, because an archive names one version of a package:
// the old version hangs on the older index, and apt's own chain of signatures
// and hashes holds for both.
//
// Nothing is kept or served that was not checked: the signature over the
// InRelease, the hash of the index, size and hash of each file. Dates are judged
// once, when an index is accepted; hashes whenever a file is opened.
package depot
