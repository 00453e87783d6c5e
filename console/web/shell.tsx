/** The frame of the console: rail, pages by address, keys. Pages are loaded when they are first opened. */
import { useEffect, useState } from 'preact/hooks'
import { ErrorBoundary, lazy, Route, Router, useLocation } from 'preact-iso'
import type { Role } from '../roles.ts'
import { mayAs, useApp } from './app-state.ts'
import { NowPage } from './pages/now.tsx'
import { Dialog } from './parts/dialog.tsx'
import { Head } from './parts/head.tsx'
import { Icon, type IconName } from './parts/icons.tsx'
import { Empty } from './parts/notices.tsx'

interface Place {
  readonly path: string
  readonly name: string
  readonly icon: IconName
  readonly least: Role
  /** After `g`. */
  readonly key: string
}

const places: readonly Place[] = [
  { path: '/', name: 'Now', icon: 'now', least: 'analyst', key: 'n' },
  { path: '/lots', name: 'Lots', icon: 'lots', least: 'analyst', key: 'l' },
  { path: '/explore', name: 'Explore', icon: 'explore', least: 'analyst', key: 'x' },
  { path: '/quality', name: 'Quality', icon: 'quality', least: 'analyst', key: 'q' },
  { path: '/devices', name: 'Devices', icon: 'devices', least: 'operator', key: 'd' },
  { path: '/enrolment', name: 'Enrolment', icon: 'enrolment', least: 'operator', key: 'e' },
  { path: '/access', name: 'Access', icon: 'access', least: 'operator', key: 'a' },
  { path: '/system', name: 'System', icon: 'system', least: 'operator', key: 's' },
]

const LotsPage = lazy(() => import('./pages/lots.tsx').then((page) => page.LotsPage))
const LotPage = lazy(() => import('./pages/lot.tsx').then((page) => page.LotPage))
const ExplorePage = lazy(() => import('./pages/explore.tsx').then((page) => page.ExplorePage))
const QualityPage = lazy(() => import('./pages/quality.tsx').then((page) => page.QualityPage))
const DevicesPage = lazy(() => import('./pages/devices.tsx').then((page) => page.DevicesPage))
const DevicePage = lazy(() => import('./pages/device.tsx').then((page) => page.DevicePage))
const EnrolmentPage = lazy(() => import('./pages/enrolment.tsx').then((page) => page.EnrolmentPage))
const AccessPage = lazy(() => import('./pages/access.tsx').then((page) => page.AccessPage))
const SystemPage = lazy(() => import('./pages/system.tsx').then((page) => page.SystemPage))
const AccountPage = lazy(() => import('./pages/account.tsx').then((page) => page.AccountPage))

export function Shell() {
  const { path, query } = useLocation()
  const isKiosk = path === '/' && 'kiosk' in query
  const [showsKeys, setShowsKeys] = useState(false)
  useKeys(() => setShowsKeys(true))
  useEffect(() => {
    document.body.classList.toggle('kiosk', isKiosk)
  }, [isKiosk])
  return (
    <>
      {!isKiosk && (
        <a class="skip" href="#content">
          Skip to the content
        </a>
      )}
      <div class={isKiosk ? 'frame bare' : 'frame'}>
        {!isKiosk && <Rail showKeys={() => setShowsKeys(true)} />}
        <main id="content">
          <ErrorBoundary>
            <Router>
              <Route path="/" component={NowPage} />
              <Route path="/lots" component={LotsPage} />
              <Route path="/lots/:lotId" component={LotPage} />
              <Route path="/explore" component={ExplorePage} />
              <Route path="/quality" component={QualityPage} />
              <Route path="/devices" component={DevicesPage} />
              <Route path="/devices/:deviceId" component={DevicePage} />
              <Route path="/enrolment" component={EnrolmentPage} />
              <Route path="/access" component={AccessPage} />
              <Route path="/system" component={SystemPage} />
              <Route path="/account" component={AccountPage} />
              <Route default component={NotFound} />
            </Router>
          </ErrorBoundary>
        </main>
      </div>
      {showsKeys && <Keys close={() => setShowsKeys(false)} />}
    </>
  )
}

function Rail({ showKeys }: { showKeys: () => void }) {
  const { me } = useApp()
  const { path } = useLocation()
  const [isOpen, setOpen] = useState(false)
  useEffect(() => setOpen(false), [path])
  return (
    <nav class={isOpen ? 'rail' : 'rail closed'} aria-label="Pages">
      <div class="top">
        <a class="brand" href="/">
          <img src="/icon.svg" alt="" />
          Lotwatch
        </a>
        <button type="button" class="menu" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          Menu
        </button>
      </div>
      <ul>
        {places
          .filter(({ least }) => mayAs(me, least))
          .map((place) => (
            <li key={place.path}>
              <a href={place.path} aria-current={isAt(path, place.path) ? 'page' : undefined}>
                <Icon name={place.icon} />
                {place.name}
              </a>
            </li>
          ))}
      </ul>
      <div class="foot">
        <ul>
          <li>
            <a href="/account" aria-current={isAt(path, '/account') ? 'page' : undefined}>
              <Icon name="account" />
              <span>
                {me.person} <span class="soft small">({me.role})</span>
              </span>
            </a>
          </li>
        </ul>
        <button type="button" class="plain small" onClick={showKeys}>
          Keys <kbd>?</kbd>
        </button>
      </div>
    </nav>
  )
}

function isAt(path: string, place: string): boolean {
  return place === '/' ? path === '/' : path === place || path.startsWith(`${place}/`)
}

/** `?`, `/`, and `g` with a letter; never while somebody writes. */
function useKeys(showKeys: () => void): void {
  const { me } = useApp()
  const { route } = useLocation() as ReturnType<typeof useLocation> & { route: (url: string) => void } // has it, its type does not
  useEffect(() => {
    let goesUntilMs = 0
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement // of a key that was pressed
      if (event.ctrlKey || event.metaKey || event.altKey) return
      if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || document.querySelector('dialog[open]') !== null)
        return
      const place = places.find(({ key, least }) => key === event.key && mayAs(me, least))
      if (goesUntilMs > event.timeStamp && place !== undefined) {
        event.preventDefault()
        route(place.path)
      } else if (event.key === 'g') {
        goesUntilMs = event.timeStamp + 1500
        return
      } else if (event.key === '?') showKeys()
      else if (event.key === '/') {
        event.preventDefault()
        document.querySelector<HTMLInputElement>('input[type=search]')?.focus()
      }
      goesUntilMs = 0
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [me, route, showKeys])
}

function Keys({ close }: { close: () => void }) {
  const { me } = useApp()
  const keys: readonly (readonly [string, string])[] = [
    ['?', 'these keys'],
    ['/', 'search on this page'],
    ['t', 'chart as a table, and back'],
    ...places.filter(({ least }) => mayAs(me, least)).map(({ key, name }) => [`g ${key}`, name] as const),
  ]
  return (
    <Dialog title="Keys" close={close}>
      <dl class="facts">
        {keys.map(([key, what]) => (
          <>
            <dt key={`${key} key`}>
              <kbd>{key}</kbd>
            </dt>
            <dd key={key}>{what}</dd>
          </>
        ))}
      </dl>
    </Dialog>
  )
}

function NotFound() {
  return (
    <>
      <Head title="Nothing here" />
      <Empty title="There is no such page">
        <p>The address may be old, or mistyped.</p>
        <a class="button" href="/">
          What is going on now
        </a>
      </Empty>
    </>
  )
}
