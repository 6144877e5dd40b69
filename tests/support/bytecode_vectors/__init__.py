"""The conformance vectors of the contract machine: their form, their cases, and how an engine replays them."""
