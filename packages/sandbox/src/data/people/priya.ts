import type { Resource } from '../../fhir/resource.js'
import { createChart } from '../chart.js'
import {
  concept,
  conditions,
  labs,
  medicines,
  panels,
  snomed,
  systems,
  visitTypes,
  vitals,
} from '../codes.js'
import {
  addAllergy,
  addCareTeam,
  addCondition,
  addCoverage,
  addDevice,
  addNote,
  addPanel,
  addPrescription,
  addSmoking,
  addVitals,
  measured,
  noteTypes,
  plainNote,
} from '../entries.js'
import type { Random } from '../random.js'
import { at, dateTimeOf, instantOf } from '../time.js'

// An hourly pulse for more than two years, an hourly glucose for three months.
const pulses = 20_000
const glucoses = 2000

const subcutaneous = snomed('34206005', 'Subcutaneous route')

/** Priya, with type 1 diabetes, whose watch and glucose sensor send a reading every hour. */
export function* priya(random: Random): Iterable<Resource> {
  const chart = createChart(
    {
      id: 'priya',
      given: ['Priya'],
      family: 'Raman',
      gender: 'female',
      birthDate: '1988-09-30',
      race: ['2028-9', 'Asian'],
      ethnicity: ['2186-5', 'Not Hispanic or Latino'],
      language: ['en', 'English'],
      clinician: 'tomas-lindqvist',
      since: at('2019-05-06', '13:15'),
      phone: '312-555-0166',
    },
    random,
  )
  addCoverage(chart, at('2019-05-06'), 'PHP-903377-01', ['512', 'Commercial Managed Care - PPO'])
  addCareTeam(chart, at('2019-05-06', '14:00'), ['grace-adeyemi', 'tomas-lindqvist'])
  for (const date of ['2024-11-05', '2025-05-06', '2025-11-04', '2026-05-05'] as const) {
    const visit = chart.visit({ time: at(date, '13:15'), kind: visitTypes.followUp })
    addVitals(chart, visit, {
      pressure: [random.about(118, 3), random.about(74, 2)],
      heartRate: random.about(70, 3),
      height: 167,
      weight: random.about(63, 0.6, 1),
    })
    addPanel(chart, visit, panels.hba1c, [[labs.hba1c, random.about(6.9, 0.1, 1)]])
    if (date !== '2024-11-05') continue
    const diabetes = addCondition(chart, visit, conditions.diabetes1, { onset: at('2001-04-10') })
    addAllergy(chart, visit, concept(snomed('716186003', 'No known allergy')))
    addSmoking(chart, visit, 'never')
    addPrescription(
      chart,
      visit,
      { reference: 'Medication/glargine' },
      {
        dose: '18 units at night',
        unit: 'mL',
        used: 0.18,
        route: subcutaneous,
        daily: 1,
        reason: diabetes,
        dispenses: 6,
      },
    )
    addPrescription(
      chart,
      visit,
      { inline: medicines.lispro },
      {
        dose: 'With meals, by the carbohydrate',
        unit: 'mL',
        used: 0.24,
        route: subcutaneous,
        daily: 3,
        reason: diabetes,
        dispenses: 6,
      },
    )
    addNote(
      chart,
      visit,
      noteTypes.progress,
      plainNote(chart, visit, 'Diabetes follow-up', [
        'Time in range 74 percent. Two lows at night in three months.',
        'Plan: basal insulin down by one unit.',
      ]),
    )
  }
  const sensor = addDevice(
    chart,
    at('2025-04-01'),
    snomed('700585005', 'Invasive interstitial-fluid glucose monitoring system'),
    '00386270000385',
    'Glucose sensor',
  )
  const watch = addDevice(
    chart,
    at('2024-01-15'),
    snomed('49062001', 'Device'),
    '00195949000012',
    'Wrist watch',
  )
  yield* chart.finish()

  // Written out at once and not through the chart: there are many, and all have one form.
  const last = at('2026-05-31', '23:00')
  for (let index = 0; index < pulses; index++) {
    const time = last - (pulses - 1 - index) * 3_600_000
    const hour = new Date(time - 5 * 3_600_000).getUTCHours()
    const pulse = random.about(hour < 7 ? 58 : hour === 18 ? 104 : 74, 5)
    yield reading(`priya-pulse-${index + 1}`, time, 'vital-signs', vitals.heartRate, pulse, watch)
  }
  let glucose = 130
  for (let index = 0; index < glucoses; index++) {
    const time = last - (glucoses - 1 - index) * 3_600_000 + 60_000
    const hour = new Date(time - 5 * 3_600_000).getUTCHours()
    const meal = hour === 8 || hour === 13 || hour === 19 ? 38 : 0
    glucose = Math.max(52, Math.min(310, glucose + (128 - glucose) * 0.35 + meal + random.about(0, 14)))
    yield reading(`priya-glucose-${index + 1}`, time, 'laboratory', labs.sensorGlucose, glucose, sensor)
  }

  function reading(
    id: string,
    time: number,
    category: string,
    measure: typeof labs.sensorGlucose | typeof vitals.heartRate,
    value: number,
    device: string,
  ): Resource {
    return {
      resourceType: 'Observation',
      id,
      meta: {
        versionId: '1',
        lastUpdated: instantOf(time + 300_000),
      },
      status: 'final',
      category: [concept({ system: systems.observationCategory, code: category, display: category })],
      code: concept(measure.code),
      subject: chart.patient,
      effectiveDateTime: dateTimeOf(time),
      issued: instantOf(time + 120_000),
      performer: [chart.patient],
      ...measured(measure, value),
      device: { reference: device },
    }
  }
}
