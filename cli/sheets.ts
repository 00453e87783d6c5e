/** Enrolment sheets: a page to print, one card for each key, with its QR code. Whoever has the page has the keys. */
import { renderSVG } from 'uqr'
import { clockOf } from './answer.ts'

export interface SheetEntry {
  readonly title: string
  readonly key: string
  readonly link: string
  readonly expiresAtMs?: number
  readonly uses?: number
}

/** What the QR code says: where to enrol, and with which key. The fragment is not sent to the server by a browser. */
export function enrolmentLink(provisioningUrl: string, key: string): string {
  return `${provisioningUrl.replace(/\/$/, '')}/v1/enrol#${key}`
}

/** HTML that needs nothing else. */
export function enrolmentSheet(entries: readonly SheetEntry[], tz: string): string {
  const clock = clockOf(tz)
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Enrolment keys</title><style>
body { font: 11pt/1.4 system-ui, sans-serif; margin: 1cm }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(8cm, 1fr)); gap: 6mm }
article { border: 1px solid #888; border-radius: 2mm; padding: 4mm; break-inside: avoid }
h2 { font-size: 13pt; margin: 0 0 2mm } svg { width: 4cm; height: 4cm } code { overflow-wrap: anywhere; font-size: 8pt }
p { margin: 1mm 0 }
</style></head><body><main>
${entries.map((entry) => card(entry, clock)).join('\n')}
</main></body></html>
`
}

function card({ title, key, link, expiresAtMs, uses }: SheetEntry, clock: (ms: number) => string): string {
  const limits = [
    ...(uses === undefined ? [] : [`for ${uses} device${uses === 1 ? '' : 's'}`]),
    ...(expiresAtMs === undefined ? [] : [`until ${clock(expiresAtMs)}`]),
  ].join(', ')
  return `<article><h2>${html(title)}</h2>${renderSVG(link, { border: 1 })}<p>${html(limits)}</p><p><code>${html(key)}</code></p></article>`
}

function html(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
