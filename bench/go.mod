module symbolon/bench

go 1.26.0

require symbolon v0.0.0

require github.com/fernet/fernet-go v0.0.0-20240119011108-303da6aec611

replace symbolon => ../
