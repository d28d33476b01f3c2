// Package visit reaches the machines that have no resident agent: it connects to each
// by SSH, where a forced command starts the machine's own agent, and serves that agent
// the site's uplink and packages over the session.
//
// The key that it holds starts that one program and nothing else. What the agent does
// is decided there, as everywhere: by its own key, its own journal and what people
// signed. A visit that is cut loses nothing; the next one goes on.
package visit
