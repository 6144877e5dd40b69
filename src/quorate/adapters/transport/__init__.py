"""Messages between nodes: three implementations of `quorate.ports.Transport`, one contract suite for all.

    inproc          a hub inside one process, for tests and single-process use
    simulated       a network model with a virtual clock and named faults; `simulated_mesh` puts the port in front of it
    zenoh           Zenoh peers over mutual TLS; `mesh_settings` says who may do what on them

`limits` and `inbox` hold what the three share. Importing this package imports none of them.
"""
