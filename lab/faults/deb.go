package faults

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5" // dpkg's own sums, which guard against bad disks alone
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Deb is a binary package to be built. Nothing in it depends on where or when it
// is built.
type Deb struct {
	Name, Version string
	// Depends is the field of that name, "" for none.
	Depends     string
	Description string
	// Files by path without a leading slash. Folders above them are made.
	Files map[string]File
	// Conffiles are those of the files that are the machine owner's to change.
	Conffiles []string
	// Scripts by name: preinst, postinst, prerm, postrm.
	Scripts map[string]string
}

// File is one of a package's.
type File struct {
	Data       []byte
	Executable bool
}

// built is when all packages say that they were made.
var built = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// FileName is the name of the package's file.
func (d Deb) FileName() string { return d.Name + "_" + d.Version + "_all.deb" }

// Control is the package's control file (deb-control(5)).
func (d Deb) Control() string {
	size := 0
	for _, f := range d.Files {
		size += len(f.Data)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Patchcycle Lab <lab@example.invalid>\nInstalled-Size: %d\n",
		d.Name, d.Version, size>>10+1)
	if d.Depends != "" {
		fmt.Fprintf(&b, "Depends: %s\n", d.Depends)
	}
	fmt.Fprintf(&b, "Section: admin\nPriority: optional\nDescription: %s\n", d.Description)
	return b.String()
}

// Build returns the package as dpkg reads it: an ar archive of a version and two
// tar archives (deb(5)).
func (d Deb) Build() ([]byte, error) {
	control := map[string]File{"control": {Data: []byte(d.Control())}}
	sums := &strings.Builder{}
	for _, name := range slices.Sorted(maps.Keys(d.Files)) {
		fmt.Fprintf(sums, "%x  %s\n", md5.Sum(d.Files[name].Data), name)
	}
	control["md5sums"] = File{Data: []byte(sums.String())}
	if len(d.Conffiles) > 0 {
		control["conffiles"] = File{Data: []byte("/" + strings.Join(d.Conffiles, "\n/") + "\n")}
	}
	for name, text := range d.Scripts {
		control[name] = File{Data: []byte("#!/bin/sh\n" + text + "\n"), Executable: true}
	}
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	member(&out, "debian-binary", []byte("2.0\n"))
	for _, part := range []struct {
		name  string
		files map[string]File
	}{{"control.tar.gz", control}, {"data.tar.gz", d.Files}} {
		packed, err := pack(part.files)
		if err != nil {
			return nil, fmt.Errorf("build %s: %w", d.FileName(), err)
		}
		member(&out, part.name, packed)
	}
	return out.Bytes(), nil
}

// member appends a file to an ar archive; they begin at even places.
func member(out *bytes.Buffer, name string, data []byte) {
	fmt.Fprintf(out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, built.Unix(), 0, 0, "100644", len(data))
	out.Write(data)
	if len(data)%2 == 1 {
		out.WriteByte('\n')
	}
}

func pack(files map[string]File) ([]byte, error) {
	var out bytes.Buffer
	// The large ones are random: compressing them is work for nothing.
	zip, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(zip)
	head := tar.Header{ModTime: built, Uname: "root", Gname: "root", Format: tar.FormatGNU}
	made := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, dir := range folders(name) {
			if made[dir] {
				continue
			}
			made[dir] = true
			h := head
			h.Typeflag, h.Name, h.Mode = tar.TypeDir, dir, 0o755
			if err := w.WriteHeader(&h); err != nil {
				return nil, err
			}
		}
		f, h := files[name], head
		h.Typeflag, h.Name, h.Size, h.Mode = tar.TypeReg, "./"+name, int64(len(f.Data)), 0o644
		if f.Executable {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(&h); err != nil {
			return nil, err
		}
		if _, err := io.Copy(w, bytes.NewReader(f.Data)); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// folders are those above a file, from the top: ./, ./usr/, ./usr/share/.
func folders(name string) []string {
	var all []string
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		all = append(all, "./"+dir+"/")
	}
	all = append(all, "./")
	slices.Reverse(all)
	return all
}
