/** System: how the programs stand, what they count and keep, which keys sign, backups, and who changed what. */
import { mayAs, useApp } from '../app-state.ts'
import { useParameters } from '../parameters.ts'
import { Chips } from '../parts/form.tsx'
import { Head } from '../parts/head.tsx'
import { Backups } from './system/backups.tsx'
import { Audit, People } from './system/logs.tsx'
import { Programs } from './system/programs.tsx'
import { SigningKeys } from './system/signing-keys.tsx'

const tabs = [
  { value: '', text: 'Programs' },
  { value: 'keys', text: 'Signing keys' },
  { value: 'backups', text: 'Backups' },
  { value: 'audit', text: 'Audit log' },
  { value: 'people', text: 'People here' },
] as const

export function SystemPage() {
  const { me } = useApp()
  const [{ tab = '' }, setParameters] = useParameters()
  const shown = tabs.filter(({ value }) => value !== 'people' || mayAs(me, 'admin'))
  return (
    <>
      <Head title="System" about={`Lotwatch ${me.version}`} />
      <div class="stack">
        <Chips
          label="Part"
          options={shown}
          chosen={tab as (typeof tabs)[number]['value']}
          choose={(value) => setParameters({ tab: value })}
        />
        {tab === '' && <Programs />}
        {tab === 'keys' && <SigningKeys />}
        {tab === 'backups' && <Backups />}
        {tab === 'audit' && <Audit />}
        {tab === 'people' && <People />}
      </div>
    </>
  )
}
