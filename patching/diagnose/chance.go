package diagnose

import "math"

// logTail returns the logarithm of the chance that, of failed machines drawn at
// random from all, at least x fall into a group of that size: the upper tail of
// the hypergeometric distribution, which is Fisher's exact test to one side.
func logTail(x, size, failed, all int) float64 {
	most := min(size, failed)
	if x <= max(0, size+failed-all) {
		return 0
	}
	return logSum(x, most, func(k int) float64 {
		return logChoose(size, k) + logChoose(all-size, failed-k) - logChoose(all, failed)
	})
}

// logBinomial returns the logarithm of the chance that at least x of n come out,
// each with chance p.
func logBinomial(x, n int, p float64) float64 {
	switch {
	case x <= 0 || p >= 1:
		return 0
	case p <= 0:
		return math.Inf(-1)
	}
	return logSum(x, n, func(k int) float64 {
		return logChoose(n, k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p)
	})
}

// logSum adds the terms from one to another, which are logarithms. Behind their
// largest they only fall, and what cannot be seen any more is not added.
func logSum(from, to int, term func(int) float64) float64 {
	if from > to {
		return math.Inf(-1)
	}
	first := term(from)
	largest, sum := first, 1.0
	for k := from + 1; k <= to; k++ {
		t := term(k)
		if t > largest {
			sum = sum*math.Exp(largest-t) + 1
			largest = t
			continue
		}
		add := math.Exp(t - largest)
		sum += add
		if add < 1e-17*sum {
			break
		}
	}
	return min(0, largest+math.Log(sum))
}

func logChoose(n, k int) float64 {
	if k < 0 || k > n {
		return math.Inf(-1)
	}
	return lgamma(n+1) - lgamma(k+1) - lgamma(n-k+1)
}

func lgamma(n int) float64 {
	v, _ := math.Lgamma(float64(n))
	return v
}
