// Package authn establishes who somebody is.
//
// A request names methods and brings data for each; every one of them must
// succeed and all must agree on one user ([Service.Authenticate]). What is known
// then, a [Proof], is what package issuer makes a token of. Methods are values of
// one small interface, [Method], so that another way to prove an identity is
// another value and changes nothing here.
//
// Three properties hold. A failure never tells which of its causes it had: an
// unknown user, a wrong password, a locked account and a disabled domain give
// the same error after the same work. Hashing, which is slow on purpose, happens
// in a bounded pool ([Hasher]), so that logins cannot starve everything else. And
// a proof is worth nothing once what it rests on was revoked while it was being
// given (see issuer.Mark).
package authn
