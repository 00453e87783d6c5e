/**
 * The program inside the sandbox, before any rule: the globals that rules know from Auth0, and the calls that go in.
 * It is text, since it runs in QuickJS; what it gives back is read as something a stranger sent (`effects.ts`).
 */

/** An expression: `{ load(shape, body), run(json), take() }`. */
export const prelude = `(() => {
  'use strict'
  const { parse, stringify } = JSON
  const linesMax = 20
  const lineCharsMax = 256
  let shape, handler, answers, outcome, failed, lines

  class UnauthorizedError extends Error {
    constructor(message) {
      super(message)
      this.name = 'UnauthorizedError'
    }
  }
  const textOf = (value) => {
    try {
      if (value instanceof Error) {
        // Where the rule made it, not where this file did.
        const at = String(value.stack).split('\\n').find((line) => /:[0-9]/.test(line) && !line.includes('prelude.js'))
        const place = at === undefined ? null : /[^\\s()]+:[0-9]+(:[0-9]+)?/.exec(at)
        return value.name + ': ' + value.message + (place === null ? '' : ' (' + place[0] + ')')
      }
      return typeof value === 'string' ? value : (stringify(value) ?? String(value))
    } catch {
      return 'something that has no text'
    }
  }
  const write = (...values) => {
    if (lines.length < linesMax) lines.push(values.map(textOf).join(' ').slice(0, lineCharsMax))
  }
  const console = { log: write, info: write, warn: write, error: write, debug: write }
  const require = (name) => {
    throw new Error('there is nothing to require in a rule: ' + name)
  }
  Object.assign(globalThis, { UnauthorizedError, console, global: globalThis, configuration: {} })

  /** sfc32, small and good enough for what rules do with chance. */
  const seeded = (seed) => {
    let [a, b, c, d] = [0, seed, seed ^ 0x9e3779b9, 1]
    const next = () => {
      const t = (((a + b) | 0) + d) | 0
      d = (d + 1) | 0
      a = b ^ (b >>> 9)
      b = (c + (c << 3)) | 0
      c = (c << 21) | (c >>> 11)
      c = (c + t) | 0
      return (t >>> 0) / 4294967296
    }
    for (let i = 0; i < 12; i++) next()
    return next
  }

  const answer = (made) => {
    answers++
    outcome = made
  }
  const fail = (error) => {
    failed ??= textOf(error)
  }

  function runRule(context, goesOn) {
    const returned = handler(undefined, context, (error, _user, changed) => {
      if (error) {
        const told = error instanceof UnauthorizedError ? String(error.message) : undefined
        answer({ denied: { code: 'access_denied', why: textOf(error), told } })
      } else {
        const { accessToken = {}, ...rest } = typeof changed === 'object' && changed !== null ? changed : context
        answer({ token: accessToken, context: goesOn ? rest : undefined })
      }
    })
    if (typeof returned?.then === 'function') returned.then(undefined, fail)
  }

  function runAction(event) {
    const claims = {}
    let scopes = [...event.transaction.target_scopes]
    let denied
    const add = (scope) => void scopes.push(String(scope))
    const remove = (scope) => {
      scopes = scopes.filter((one) => one !== scope)
    }
    const api = {
      access: {
        deny(code, reason) {
          denied ??= { code: String(code), why: textOf(reason ?? code), told: String(reason ?? code) }
          return api
        },
      },
      accessToken: {
        setCustomClaim(name, value) {
          claims[name] = value
          return api
        },
        addScope: (scope) => (add(scope), api),
        removeScope: (scope) => (remove(scope), api),
      },
      transaction: {
        addTargetScope: (scope) => (add(scope), api),
        removeTargetScope: (scope) => (remove(scope), api),
        setTargetScopes: (some) => ((scopes = [...some].map(String)), api),
        clearTargetScopes: () => ((scopes = []), api),
      },
      // Nothing outlives a request: what is put in may be gone at any time, as with Auth0.
      cache: {
        get: () => undefined,
        set: () => ({ type: 'error', code: 'CacheUnavailable' }),
        delete: () => ({ type: 'success' }),
      },
    }
    Promise.resolve(handler(event, api)).then(
      () => answer(denied === undefined ? { scopes, claims } : { denied }),
      fail,
    )
  }

  return {
    load(what, body) {
      shape = what
      lines = []
      if (shape === 'rule') handler = body()
      else {
        const module = { exports: {} }
        body.call(module.exports, module.exports, module, require)
        handler = module.exports?.onExecuteCredentialsExchange
      }
      if (typeof handler === 'function') return ''
      return shape === 'rule' ? 'it is no function' : 'it exports no function onExecuteCredentialsExchange'
    },
    run(json) {
      const { argument, seed, goesOn } = parse(json)
      Math.random = seeded(seed)
      answers = 0
      lines = []
      try {
        if (shape === 'rule') runRule(argument, goesOn)
        else runAction(argument)
      } catch (error) {
        fail(error)
      }
    },
    take() {
      try {
        return stringify({ ...outcome, answers, failed, lines })
      } catch (error) {
        return stringify({ answers, failed: 'what it answered is no JSON: ' + textOf(error), lines })
      }
    },
  }
})()`

/** The source as a function; on the line it has in its file. */
export function bodyOf(shape: 'rule' | 'action', source: string): string {
  return shape === 'rule'
    ? `(function () { let rule = ${source}\n;return rule })`
    : `(function (exports, module, require) { ${source}\n})`
}
