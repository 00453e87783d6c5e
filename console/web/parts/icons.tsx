/** Line icons of the rail. They only accompany words. */
const shapes = {
  now: 'M3 17V9m5 8V5m5 12v-6m5 6V7',
  lots: 'M4 4h14v14H4zM9 15V7h3a2.5 2.5 0 0 1 0 5H9',
  explore: 'M10 17a7 7 0 1 1 0-14 7 7 0 0 1 0 14zm5-2 4 4',
  devices: 'M5 5h12v12H5zM9 9h4v4H9zM11 2v3m0 12v3M2 11h3m12 0h3',
  enrolment: 'M4 4h6v6H4zM14 4h4v4h-4zM4 14h4v4H4zM13 12h2v3h3v4h-3',
  access: 'M7.5 14.5a4 4 0 1 1 3.8-5.2H19v3h-2v2.6h-3v-2.6h-2.7a4 4 0 0 1-3.8 2.2z',
  quality: 'M4 11.5 9 16.5 18 5.5',
  system: 'M3 6h16M3 11h16M3 16h16M7 4.5v3M14 9.5v3M9 14.5v3',
  account: 'M11 11a3.7 3.7 0 1 0 0-7.4 3.7 3.7 0 0 0 0 7.4zm-7 8a7 7 0 0 1 14 0',
} as const
export type IconName = keyof typeof shapes

export function Icon({ name }: { name: IconName }) {
  return (
    <svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true">
      <path
        d={shapes[name]}
        fill="none"
        stroke="currentColor"
        stroke-width="1.7"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  )
}
