from eyespot.cli import main

main()
