"""The subcommands of `muster-edge`, each a module with `main(arguments)`."""
