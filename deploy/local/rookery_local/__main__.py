import sys

from rookery_local.cli import main

sys.exit(main(sys.argv[1:]))
