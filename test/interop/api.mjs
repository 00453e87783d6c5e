/** An API that takes our tokens by the verifiers that Express applications use, set up as their documentation shows. */
import express from 'express'
import { expressjwt } from 'express-jwt'
import { auth, claimEquals, requiredScopes } from 'express-oauth2-jwt-bearer'
import jwksRsa from 'jwks-rsa'

process.once('message', ({ issuer, classic, modern }) => {
  const app = express()
  const secret = jwksRsa.expressJwtSecret({
    cache: true,
    rateLimit: true,
    jwksRequestsPerMinute: 5,
    jwksUri: `${issuer}.well-known/jwks.json`,
  })
  const answer = (req, res) => res.json(req.auth.payload ?? req.auth)
  app.get(
    '/jwks-rsa/classic',
    expressjwt({ secret, audience: classic, issuer, algorithms: ['RS256'] }),
    answer,
  )
  app.get('/jwks-rsa/modern', expressjwt({ secret, audience: modern, issuer, algorithms: ['ES256'] }), answer)
  app.get(
    '/bearer/classic',
    auth({ issuerBaseURL: issuer, audience: classic }),
    requiredScopes('read:tariffs'),
    claimEquals('gty', 'client-credentials'),
    answer,
  )
  app.get(
    '/bearer/modern',
    auth({ issuerBaseURL: issuer, audience: modern, tokenSigningAlg: 'ES256', strict: true }),
    requiredScopes('read:tariffs'),
    answer,
  )
  app.get(
    '/bearer/write',
    auth({ issuerBaseURL: issuer, audience: classic }),
    requiredScopes('write:tariffs'),
    answer,
  )
  app.use((error, _req, res, _next) => {
    res.status(error.status ?? 500).json({ code: error.code, message: error.message })
  })
  const server = app.listen(0, '127.0.0.1', () => process.send(server.address().port))
})
process.send('ready')
