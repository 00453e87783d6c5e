/** A container's health: the answer of the address in HEALTH_URL; a program without one is healthy while it runs. */
const url = process.env.HEALTH_URL
if (url !== undefined) {
  const answer = await fetch(url, { signal: AbortSignal.timeout(2500) }).catch(() => undefined)
  process.exitCode = answer?.ok ? 0 : 1
}
