"""``python -m autocompose``, which launchers such as torchrun need."""

from autocompose.cli import main

if __name__ == "__main__":
    main()
