// Package store remembers. It keeps facts (reports, receipts, votes, decisions)
// by appending them, and keeps what stands now (devices, assets, deployments,
// orders) in the same transaction, so that the two never differ.
//
// The SQL is written once, in the subset that SQLite and PostgreSQL both
// understand; what differs stands behind [Dialect]. Open a store with
// store/sqlite or store/postgres. The suite store/storetest says how both have
// to behave.
//
// All methods are safe for concurrent use. A single thing that is not there is
// [ErrNotFound]. Times come back in UTC and to the microsecond; a zero time
// stays zero. Where several rows are written by one call they are written by
// one transaction: all of them, or none.
package store
