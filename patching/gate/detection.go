package gate

import "math"

// DetectionChance returns how likely it is, from 0 to 1, that n machines show
// at least once a defect that hits the given share of machines (0 to 1). Ten
// machines show a 3 % defect in one cycle of four; 99 in 95 of 100 (binomial).
func DetectionChance(n int, rate float64) float64 {
	if n <= 0 || rate <= 0 {
		return 0
	}
	if rate >= 1 {
		return 1
	}
	return -math.Expm1(float64(n) * math.Log1p(-rate))
}

// MachinesToSee returns how many machines it takes to see a defect that hits
// the given share of machines at least once with the given chance (both
// between 0 and 1, exclusive); 0 if no number does.
func MachinesToSee(rate, chance float64) int {
	if rate <= 0 || chance <= 0 || chance >= 1 {
		return 0
	}
	if rate >= 1 {
		return 1
	}
	return int(math.Ceil(math.Log1p(-chance) / math.Log1p(-rate)))
}
