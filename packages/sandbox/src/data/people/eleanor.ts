import type { Resource } from '../../fhir/resource.js'
import { createChart, type Visit } from '../chart.js'
import {
  concept,
  conditions,
  labs,
  loinc,
  medicines,
  panels,
  rxnorm,
  snomed,
  systems,
  vaccines,
  visitTypes,
} from '../codes.js'
import {
  addAllergy,
  addCarePlan,
  addCareTeam,
  addCondition,
  addCoverage,
  addDepressionScreening,
  addDevice,
  addFamilyHistory,
  addGoal,
  addImmunization,
  addNote,
  addObservation,
  addOrder,
  addPanel,
  addPrescription,
  addProcedure,
  addSmoking,
  addVitals,
  coded,
  htmlNote,
  noteTypes,
  plainNote,
} from '../entries.js'
import { bloodCountResults, metabolicResults } from '../physiology.js'
import type { Random } from '../random.js'
import { ageAt, at, dayLength } from '../time.js'

/** Eleanor, in her eighties, with a heart that needs watching and a long history of visits. */
export function eleanor(random: Random): Iterable<Resource> {
  const birthDate = '1941-12-02'
  const chart = createChart(
    {
      id: 'eleanor',
      given: ['Eleanor', 'Ruth'],
      family: 'Whitfield',
      gender: 'female',
      birthDate,
      race: ['2106-3', 'White'],
      ethnicity: ['2186-5', 'Not Hispanic or Latino'],
      language: ['en', 'English'],
      clinician: 'grace-adeyemi',
      since: at('2012-03-01', '09:00'),
      phone: '312-555-0120',
    },
    random,
  )
  addCoverage(chart, at('2012-03-01'), '1EG4-TE5-MK73', ['1', 'MEDICARE'])
  chart.add(
    'RelatedPerson',
    at('2012-03-01', '09:10'),
    {
      active: true,
      patient: chart.patient,
      relationship: [concept({ system: systems.roleCode, code: 'DAU', display: 'natural daughter' })],
      name: [{ use: 'official', text: 'Margaret Whitfield', family: 'Whitfield', given: ['Margaret'] }],
      telecom: [{ system: 'phone', value: '312-555-0121', use: 'mobile' }],
      gender: 'female',
    },
    { id: 'eleanor-daughter', profile: 'relatedperson' },
  )

  const first = chart.visit({ time: at('2012-03-05', '09:20'), kind: visitTypes.checkUp, minutes: 40 })
  const hypertension = addCondition(chart, first, conditions.hypertension, { onset: at('2004-05-01') })
  addCondition(chart, first, conditions.osteoarthritis, { onset: at('2009-10-01') })
  const thyroid = addCondition(chart, first, conditions.hypothyroidism, { onset: at('2001-02-01') })
  addAllergy(
    chart,
    first,
    concept(rxnorm('7980', 'penicillin G'), snomed('91936005', 'Allergy to penicillin')),
    {
      manifestation: snomed('271807003', 'Eruption of skin'),
      severity: 'mild',
      category: 'medication',
    },
  )
  addFamilyHistory(chart, first, ['FTH', 'father'], conditions.heartFailure, 71)
  addSmoking(chart, first, 'former')
  addPrescription(
    chart,
    first,
    { inline: medicines.levothyroxine },
    { dose: 'One tablet in the morning', daily: 1, reason: thyroid, dispenses: 56 },
  )
  addPrescription(
    chart,
    first,
    { inline: medicines.amlodipine },
    { dose: 'One tablet a day', daily: 1, reason: hypertension, dispenses: 56 },
  )

  // Every seven weeks or so, for fourteen years.
  let time = at('2012-04-23', '09:00')
  let heart = ''
  let number = 0
  while (time < at('2026-05-20')) {
    const clinician = heart !== '' && number % 3 === 1 ? ('omar-haddad' as const) : ('grace-adeyemi' as const)
    const visit = chart.visit({
      time,
      kind: number % 7 === 0 ? visitTypes.checkUp : visitTypes.followUp,
      clinician,
    })
    const years = (time - at('2012-03-05')) / (365.25 * dayLength)
    addVitals(chart, visit, {
      pressure: [random.about(136, 5), random.about(74, 4)],
      heartRate: random.about(heart ? 78 : 70, 5),
      respiratoryRate: random.about(16, 1),
      temperature: random.about(36.5, 0.15, 1),
      oxygen: random.about(heart ? 95 : 97, 0.6),
      height: Math.round((160 - years * 0.2) * 2) / 2,
      weight: random.about(68 - years * 0.3, 0.8, 1),
    })
    if (heart === '' && time > at('2019-04-01')) {
      heart = addCondition(chart, visit, conditions.fibrillation)
      addCondition(chart, visit, conditions.kidneyDisease)
      addPrescription(
        chart,
        visit,
        { reference: 'Medication/apixaban' },
        { dose: 'One tablet twice a day', daily: 2, reason: heart, dispenses: 28 },
      )
      addPrescription(
        chart,
        visit,
        { contained: medicines.metoprolol },
        { dose: 'One tablet a day', daily: 1, reason: heart, dispenses: 28 },
      )
      addProcedure(chart, visit, snomed('29303009', 'Electrocardiographic procedure'), heart)
    }
    if (number % 3 === 0) {
      addPanel(
        chart,
        visit,
        panels.metabolic,
        metabolicResults(random, {
          glucose: random.about(94, 4),
          creatinine: 0.78 + years * 0.03,
          age: ageAt(birthDate, time),
          female: true,
        }),
      )
      addPanel(chart, visit, panels.bloodCount, bloodCountResults(random, 12.8))
    }
    if (number % 8 === 2) addPanel(chart, visit, panels.tsh, [[labs.tsh, random.about(2.1, 0.4, 2)]])
    if (number % 8 === 5) addImmunization(chart, visit, vaccines.influenza)
    if (number % 16 === 9) addDepressionScreening(chart, visit, [random.chance(0.5) ? 1 : 0, 0])
    if (number % 4 === 1) {
      addNote(
        chart,
        visit,
        noteTypes.progress,
        plainNote(chart, visit, 'Follow-up', [
          random.pick([
            'Feels well. Knees ache on stairs; takes acetaminophen now and then.',
            'Slept badly this month; otherwise as before. No chest pain, no falls.',
            'Goes out with her daughter twice a week. A little short of breath on the hill.',
          ]),
          'Examination unchanged. Medicines gone through together.',
          'Plan: go on as before.',
        ]),
      )
    }
    number++
    time += random.between(44, 56) * dayLength
  }

  const stay = chart.visit({
    time: at('2023-02-10', '21:35'),
    kind: visitTypes.admission,
    setting: 'IMP',
    clinician: 'omar-haddad',
    minutes: 4 * 24 * 60,
  })
  failure(stay)
  for (const [date, days] of [
    ['2014-11-19', 12],
    ['2017-01-08', 10],
    ['2021-12-03', 14],
  ] as const) {
    const visit = chart.visit({ time: at(date, '11:05'), kind: visitTypes.symptom })
    addCondition(chart, visit, conditions.bronchitis, {
      category: 'encounter-diagnosis',
      resolved: visit.time + days * dayLength,
    })
    addVitals(chart, visit, { temperature: random.about(37.9, 0.2, 1), oxygen: 94, heartRate: 88 })
  }
  const late = chart.visit({ time: at('2026-05-21', '10:30'), kind: visitTypes.checkUp, minutes: 45 })
  addImmunization(chart, late, vaccines.pneumococcal23)
  addImmunization(chart, late, vaccines.zoster)
  for (const [code, display, category, value] of [
    [
      '69859-7',
      'Do you have serious difficulty walking or climbing stairs',
      'disability-status',
      loinc('LA33-6', 'Yes'),
    ],
    ['72172-0', 'Total score [MoCA]', 'cognitive-status', undefined],
    ['54522-8', 'Functional status', 'functional-status', snomed('371153006', 'Independently able')],
  ] as const) {
    addObservation(chart, late, {
      category,
      system: systems.usCoreCategory,
      code: loinc(code, display),
      value: value
        ? coded(value)
        : { valueQuantity: { value: 25, unit: '{score}', system: systems.ucum, code: '{score}' } },
      profile: 'simple-observation',
    })
  }
  const directive = addNote(
    chart,
    late,
    loinc('86533-7', 'Patient Living will'),
    plainNote(chart, late, 'Advance directive', [
      'Does not wish to be ventilated. Her daughter Margaret decides when she cannot.',
    ]),
    { category: loinc('42348-3', 'Advance healthcare directives') },
  )
  addObservation(chart, late, {
    category: 'observation-adi-documentation',
    system: systems.usCoreCategory,
    code: loinc('45473-6', 'Advance directive - living will'),
    value: {
      ...coded(loinc('LA33-6', 'Yes')),
      extension: [
        {
          url: 'http://hl7.org/fhir/StructureDefinition/workflow-supportingInfo',
          valueReference: { reference: directive },
        },
      ],
    },
    profile: 'observation-adi-documentation',
  })
  addGoal(chart, late, 'Stay in her own house', '2027-05-31')
  addCarePlan(
    chart,
    late,
    'Atrial fibrillation and heart failure, stable. Apixaban, metoprolol and furosemide go on. Weigh every morning; call when two kilograms are gained in three days.',
    [heart],
  )
  addCareTeam(chart, at('2019-06-01'), ['grace-adeyemi', 'omar-haddad'])
  return chart.finish()

  function failure(visit: Visit): void {
    addVitals(chart, visit, {
      pressure: [148, 82],
      heartRate: 112,
      respiratoryRate: 24,
      oxygen: 89,
      temperature: 36.9,
      weight: 69.4,
    })
    const failing = addCondition(chart, visit, conditions.heartFailure)
    addCondition(chart, visit, conditions.heartFailure, { category: 'encounter-diagnosis' })
    addPanel(chart, visit, panels.ntProBnp, [[labs.ntProBnp, 4210]])
    addPanel(
      chart,
      visit,
      panels.metabolic,
      metabolicResults(random, {
        glucose: 118,
        creatinine: 1.34,
        age: ageAt(birthDate, visit.time),
        female: true,
      }),
    )
    addOrder(chart, visit, loinc('36643-5', 'XR Chest 2 Views'), snomed('363679005', 'Imaging'))
    addProcedure(chart, visit, snomed('40701008', 'Echocardiography'), failing)
    addObservation(chart, visit, {
      category: 'procedure',
      code: loinc('10230-1', 'Left ventricular Ejection fraction'),
      value: { valueQuantity: { value: 42, unit: '%', system: systems.ucum, code: '%' } },
      profile: 'observation-clinical-result',
    })
    addPrescription(
      chart,
      visit,
      { inline: medicines.furosemide },
      { dose: 'One tablet in the morning', daily: 1, reason: failing, dispenses: 12 },
    )
    addNote(
      chart,
      visit,
      noteTypes.imaging,
      htmlNote(chart, visit, 'Echocardiogram', [
        'Ejection fraction 42 percent. Left atrium enlarged. Mild mitral regurgitation.',
      ]),
      { report: loinc('LP29708-2', 'Cardiology') },
    )
    addNote(
      chart,
      visit,
      noteTypes.discharge,
      plainNote(chart, visit, 'Discharge summary', [
        'Came by ambulance, short of breath for three days, five kilograms heavier than in autumn.',
        'Heart failure in atrial fibrillation. Furosemide by vein, then by mouth; four kilograms lighter after four days.',
        'Goes home with her daughter. Weigh every day. See Dr. Haddad within a week.',
      ]),
    )
    addDevice(
      chart,
      visit.time + 3 * dayLength,
      snomed('14106009', 'Cardiac pacemaker'),
      '00844588003288',
      'Cardiac pacemaker',
    )
    addProcedure(chart, visit, snomed('307280005', 'Implantation of cardiac pacemaker'), heart)
  }
}
