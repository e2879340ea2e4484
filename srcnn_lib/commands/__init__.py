"""The command line: `main` joins the commands, one file a group of them; `benchmarks` does the work of one."""
