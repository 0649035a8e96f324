module symbolon

go 1.26
