//! Learns a joint policy for a team and anneals it into one marginal network per agent.
