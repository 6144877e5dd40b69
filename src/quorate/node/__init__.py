"""The shell: the only place that awaits. Inbox -> step -> save -> effects, for a requester's node, a provider and a
sequencer."""
