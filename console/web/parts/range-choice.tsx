/** Which time is shown: one of the usual ranges up to now, or one with a beginning and an end of its own. */

import type { Parameters } from '../parameters.ts'
import { localTimeOf, ownRange, ranges, type Span } from '../ranges.ts'
import { Chips, Field } from './form.tsx'

const options = [...ranges, { value: ownRange, text: 'From … to …' }]
const dayMs = 86_400_000

export function RangeChoice({
  span,
  zone,
  choose,
}: {
  span: Span
  /** Of the times that are typed in. */
  zone: string
  choose: (changes: Parameters) => void
}) {
  const chosen = (range: string) => {
    const nowMs = Date.now()
    choose(
      range === ownRange
        ? { range, from: localTimeOf(nowMs - 7 * dayMs, zone), to: localTimeOf(nowMs, zone) }
        : { range, from: undefined, to: undefined },
    )
  }
  return (
    <div class="row">
      <Chips label="Range" options={options} chosen={span.value} choose={chosen} />
      {span.value === ownRange && (
        <div class="row">
          <Field label="From">
            <input
              type="datetime-local"
              required
              value={span.from}
              onChange={(event) => choose({ from: event.currentTarget.value })}
            />
          </Field>
          <Field label="To" hint="Empty: now.">
            <input
              type="datetime-local"
              min={span.from}
              value={span.to ?? ''}
              onChange={(event) => choose({ to: event.currentTarget.value })}
            />
          </Field>
        </div>
      )}
    </div>
  )
}
