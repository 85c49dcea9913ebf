"""Every plot of the paper: ``style`` has colours and sizes, and each room of the paper its module.

A figure is designed at the width at which it is printed, so that no letter is below 7 points."""
