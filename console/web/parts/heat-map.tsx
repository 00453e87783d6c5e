/** The typical week as a heat map: seven days of 24 hours, each with its number for who does not see the colour. */
import { number } from '../words.ts'
import { Table } from './table.tsx'
import { TableToggle, useTableToggle } from './table-toggle.tsx'

export interface HourOfWeek {
  /** 1 is Monday. */
  readonly weekday: number
  readonly hour: number
  readonly value: number | null
}

const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']
const cell = { width: 24, height: 19 }
const left = 34
const top = 16

export function HeatMap({
  title,
  hours,
  highest,
  unit,
}: {
  title: string
  hours: readonly HourOfWeek[]
  /** What is darkest. */
  highest: number
  unit: string
}) {
  const [isTable, toggle] = useTableToggle()
  const known = hours.filter(({ value }) => value !== null)
  const peak = known.toSorted((a, b) => (b.value ?? 0) - (a.value ?? 0))[0]
  const words =
    peak === undefined
      ? 'nothing measured yet'
      : `fullest on ${days[peak.weekday - 1]} at ${peak.hour}:00 with ${number(peak.value)} ${unit} on average`
  return (
    <figure class="panel">
      <div class="row spread">
        <figcaption>
          <h2>{title}</h2>
          <p class="small soft">{words}</p>
        </figcaption>
        <TableToggle isTable={isTable} toggle={toggle} />
      </div>
      {isTable ? (
        <Hours title={title} hours={hours} />
      ) : (
        <section
          class="heat"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
          tabIndex={0}
          aria-label={`${title}, each hour`}
        >
          <svg
            viewBox={`0 0 ${left + 24 * cell.width} ${top + 7 * cell.height}`}
            role="img"
            aria-label={`${title}: ${words}`}
          >
            {Array.from({ length: 12 }, (_, i) => (
              <text key={i} x={left + i * 2 * cell.width} y={10}>
                {String(i * 2).padStart(2, '0')}
              </text>
            ))}
            {days.map((day, i) => (
              <text key={day} x={0} y={top + i * cell.height + 13}>
                {day}
              </text>
            ))}
            {hours.map(({ weekday, hour, value }) => (
              <rect
                key={`${weekday}-${hour}`}
                x={left + hour * cell.width}
                y={top + (weekday - 1) * cell.height}
                width={cell.width - 2}
                height={cell.height - 2}
                rx={2}
                fill={value === null ? 'var(--idle-soft)' : 'var(--series-1)'}
                fill-opacity={value === null ? 1 : 0.06 + 0.94 * Math.min(1, value / Math.max(1, highest))}
              >
                <title>{`${days[weekday - 1]} ${String(hour).padStart(2, '0')}:00 ${value === null ? 'not measured' : `${number(value)} ${unit}`}`}</title>
              </rect>
            ))}
          </svg>
        </section>
      )}
    </figure>
  )
}

function Hours({ title, hours }: { title: string; hours: readonly HourOfWeek[] }) {
  const known = new Map(hours.map(({ weekday, hour, value }) => [`${weekday} ${hour}`, value]))
  return (
    <Table
      label={title}
      height="22rem"
      rows={Array.from({ length: 24 }, (_, hour) => hour)}
      keyOf={String}
      columns={[
        {
          name: 'hour',
          head: 'Hour',
          cell: (hour) => `${String(hour).padStart(2, '0')}:00`,
          by: (hour) => hour,
        },
        ...days.map((day, i) => ({
          name: day,
          head: day,
          align: 'end' as const,
          by: (hour: number) => known.get(`${i + 1} ${hour}`),
          cell: (hour: number) => number(known.get(`${i + 1} ${hour}`)),
        })),
      ]}
    />
  )
}
