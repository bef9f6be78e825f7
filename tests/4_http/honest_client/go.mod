module cello/honest_client

go 1.24
