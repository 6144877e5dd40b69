"""Agreement -> Assignment: who is drawn, in which order, and the member side of one assignment."""
