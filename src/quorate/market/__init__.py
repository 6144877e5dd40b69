"""Job -> Agreement: prices, matching, the book of standing offers."""
