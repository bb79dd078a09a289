"""The monitor's web page: a small HTTP server and the page's own files. Shows what coverage says; decides nothing."""
