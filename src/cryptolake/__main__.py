"""`python -m cryptolake`: the command line where no script was installed. What does not belong here: everything else."""

from cryptolake.cli import main

if __name__ == "__main__":
    main()
