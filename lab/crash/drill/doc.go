// Package drill kills a cycle and sees it end as if nothing had been.
//
// A run starts a server and a simulated fleet as real processes, kills one or
// both with SIGKILL at a moment that its seed draws, starts them again in the
// same way, and waits for the end of the cycle. Then it asks the store and the
// machines' witnesses: the same cycle, closed; one outcome for each machine; no
// installation repeated; no approval lost; the chain of decisions unbroken.
package drill
