"""End to end: through `bitmill up`, and as five processes beside a gateway."""
