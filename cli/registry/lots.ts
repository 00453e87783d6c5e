/** The verbs of `lotctl lot`: places and how many spaces they have since when. */
import { FleetError } from '../../core/contract/errors.ts'
import type { DatedCapacity, Lot, LotRequest } from '../../core/contract/registry.ts'
import { type Call, type CallFlags, findId } from '../call.ts'
import { columnsOf, kinds } from './kinds.ts'

export async function lotList(call: Call): Promise<void> {
  const lots = await call.all<Lot>('/v1/lots', 'lots')
  const nowMs = Date.now()
  const rows = lots.map((lot) => ({ ...lot, capacity: capacityAt(lot.capacities, nowMs) }))
  call.list({ rows, columns: columnsOf.lot, id: 'lotId', whole: { lots } })
}

export async function lotShow(call: Call, _: CallFlags, given: string): Promise<void> {
  const lotId = await findId(call, kinds.lot, given)
  call.show(await call.get<Lot>(`/v1/lots/${lotId}`), 'lotId')
}

interface LotFlags extends CallFlags {
  readonly name?: string
  readonly latitude?: number
  readonly longitude?: number
  readonly zone?: string
  readonly hours?: string
  readonly capacity?: number
  readonly from?: number
}

/** Registers the lot, or changes what is named of it; the rest stays as it is. */
export async function lotSet(call: Call, flags: LotFlags, lotId: string): Promise<void> {
  const { value: known, match } = await call.read<Lot>(`/v1/lots/${encodeURIComponent(lotId)}`)
  const { name = known?.name, latitude, longitude, zone, hours, capacity, from } = flags
  if (name === undefined) throw new FleetError('request.invalid', `${lotId} is a new lot: --name`)
  const { lotId: _, ...was } = known ?? { lotId, capacities: [] }
  const lot: LotRequest = {
    ...was,
    name,
    ...(latitude === undefined ? {} : { latitude }),
    ...(longitude === undefined ? {} : { longitude }),
    ...(zone === undefined ? {} : { zone }),
    ...(hours === undefined ? {} : { openingHours: hours }),
    capacities:
      capacity === undefined
        ? was.capacities
        : withCapacity(was.capacities, { capacity, fromMs: from ?? (known === undefined ? 0 : Date.now()) }),
  }
  call.show(await call.change<Lot>('PUT', `/v1/lots/${encodeURIComponent(lotId)}`, lot, match), 'lotId')
}

export async function lotCapacitySet(
  call: Call,
  { from }: CallFlags & { readonly from?: number },
  given: string,
  spaces: string,
): Promise<void> {
  if (!/^[0-9]{1,9}$/.test(spaces))
    throw new FleetError('request.invalid', `"${spaces}" is no number of spaces`)
  const lotId = await findId(call, kinds.lot, given)
  const { value, match } = await call.read<Lot>(`/v1/lots/${lotId}`)
  if (value === undefined) throw new FleetError('request.not_found', `there is no lot ${lotId}`)
  const { lotId: _, ...lot } = value
  const capacities = withCapacity(lot.capacities, { capacity: Number(spaces), fromMs: from ?? Date.now() })
  call.show(await call.change<Lot>('PUT', `/v1/lots/${lotId}`, { ...lot, capacities }, match), 'lotId')
}

/** An entry of the same instant is replaced. */
function withCapacity(capacities: readonly DatedCapacity[], entry: DatedCapacity): DatedCapacity[] {
  return [...capacities.filter(({ fromMs }) => fromMs !== entry.fromMs), entry].sort(
    (a, b) => a.fromMs - b.fromMs,
  )
}

function capacityAt(capacities: readonly DatedCapacity[], nowMs: number): number | undefined {
  return capacities.findLast(({ fromMs }) => fromMs <= nowMs)?.capacity
}
