"""Networks that containers join: a bridge, none, or the host's; it must not know containers beyond an id, a pid and a socket."""
