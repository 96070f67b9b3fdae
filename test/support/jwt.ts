// Operator, account and user for a server in operator mode: what `nsc` would make, by hand.

import { nkeys } from 'nats'

/** Server configuration that trusts a new operator, and the creds file of a user of it. */
export function operatorMode(): { config: string; creds: string; otherCreds: string } {
  const operator = nkeys.createOperator()
  const account = nkeys.createAccount()
  const accountJwt = sign(operator, account.getPublicKey(), 'test', {
    limits: { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, conn: -1, leaf: -1 },
    type: 'account',
    version: 2,
  })
  const operatorJwt = sign(operator, operator.getPublicKey(), 'test', {
    type: 'operator',
    version: 2,
  })
  return {
    config: `operator: "${operatorJwt}"
      resolver: MEMORY
      resolver_preload: { ${account.getPublicKey()}: "${accountJwt}" }`,
    creds: credsOf(account),
    otherCreds: credsOf(nkeys.createAccount()),
  }
}

function credsOf(account: ReturnType<typeof nkeys.createAccount>): string {
  const user = nkeys.createUser()
  const jwt = sign(account, user.getPublicKey(), 'forwarder', {
    pub: {},
    sub: {},
    subs: -1,
    data: -1,
    payload: -1,
    type: 'user',
    version: 2,
  })
  const seed = new TextDecoder().decode(user.getSeed())
  return `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n
-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`
}

function sign(
  issuer: ReturnType<typeof nkeys.createUser>,
  subject: string,
  name: string,
  nats: object,
): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { jti: name, iat: 1, iss: issuer.getPublicKey(), name, sub: subject, nats }
  const body = `${encode({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encode(claims)}`
  return `${body}.${Buffer.from(issuer.sign(Buffer.from(body))).toString('base64url')}`
}
