"""Claim -> Verdict: counting votes, the commit-then-open ballot, evidence of equivocation."""
