// Package usage says what processes cost this machine, from /proc.
package usage

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ticks are the kernel's units of CPU time in /proc: USER_HZ, 100 on every
// architecture that Go runs on.
const ticks = 100.0

// procStat is what /proc/<pid>/stat says that matters here.
type procStat struct {
	parent int
	own    float64 // CPU seconds of the process
	ended  float64 // of its children that have ended and were waited for
}

func readStat(pid int) (procStat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	// The name, in parentheses, may hold anything.
	at := strings.LastIndexByte(string(text), ')')
	f := strings.Fields(string(text)[at+1:])
	if at < 0 || len(f) < 15 {
		return procStat{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	n := func(i int) float64 { v, _ := strconv.ParseFloat(f[i], 64); return v }
	const parent, utime, stime, cutime, cstime = 1, 11, 12, 13, 14 // after the name
	return procStat{parent: int(n(parent)), own: (n(utime) + n(stime)) / ticks, ended: (n(cutime) + n(cstime)) / ticks}, nil
}

// Parent is the process that started one.
func Parent(pid int) (int, error) {
	s, err := readStat(pid)
	return s.parent, err
}

// CPU is what a process has used, in seconds; 0 once it is gone.
func CPU(pid int) float64 {
	s, err := readStat(pid)
	if err != nil {
		return 0
	}
	return s.own
}

// Tree is what a process and its children, living and gone, have used, in seconds.
func Tree(pid int) float64 {
	s, err := readStat(pid)
	if err != nil {
		return 0
	}
	total := s.own + s.ended
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is valid
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if c, err := readStat(child); err == nil && c.parent == pid {
			total += c.own
		}
	}
	return total
}

// Memory is the resident memory of a process, now and at its highest, in MB.
func Memory(pid int) (now, peak float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "VmRSS:":
			now = kb / 1024
		case "VmHWM:":
			peak = kb / 1024
		}
	}
	return now, peak
}

// Load is how many processes wanted to run, averaged over the last minute.
func Load() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return -1
	}
	first, _, _ := strings.Cut(string(text), " ")
	v, _ := strconv.ParseFloat(first, 64)
	return v
}

// FolderMB is the size, in MB, of the files in a folder.
func FolderMB(dir string) float64 {
	var bytes int64
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // what cannot be read has no size
		}
		if info, err := d.Info(); err == nil { // a file that has gone has no size
			bytes += info.Size()
		}
		return nil
	})
	return float64(bytes) / (1 << 20)
}
