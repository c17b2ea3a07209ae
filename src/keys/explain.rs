//! Why a request cannot be carried, group by group: for the message of its refusal.

use crate::clock::Moment;
use crate::limits::Binding;

use super::ask::Ask;
use super::choose::Survey;
use super::gate::Cause;
use super::pool::Pool;

/// Why one group cannot carry a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The group's name.
    pub group: Box<str>,
    /// What is in the way.
    pub obstacle: Obstacle,
    /// The limit that decides, where it is one.
    pub limit: Option<&'static str>,
    /// When it is out of the way, where time does that.
    pub until: Option<Moment>,
}

/// What is in a request's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// Something that passes.
    Closed(Cause),
    /// The request is larger than the limit can ever hold.
    Oversized,
    /// The provider forbids the model.
    Forbidden,
    /// The provider refuses every key of it.
    Invalid,
    /// Nothing, but the request has tried it.
    Tried,
}

impl Pool {
    /// Why no group can carry that request now. Groups that can are left out.
    pub fn explain(&mut self, ask: &Ask<'_>, now: Moment) -> Vec<Reason> {
        self.rack.tick(now);
        let field = self.field(ask, now);
        let mut reasons = Vec::new();
        for slot in field.groups.iter() {
            let mut survey = Survey::default();
            self.survey_one(slot, &field, ask, now, &mut survey);
            let Some((obstacle, limit, until)) = obstacle(&survey) else { continue };
            let Some(group) = self.groups.get(slot) else { continue };
            reasons.push(Reason { group: group.name.clone(), obstacle, limit, until });
        }
        reasons
    }

    /// Whether some group could carry that request now.
    pub fn can_carry(&mut self, ask: &Ask<'_>, now: Moment) -> bool {
        self.rack.tick(now);
        let field = self.field(ask, now);
        let mut survey = Survey::default();
        for slot in field.groups.iter() {
            self.survey_one(slot, &field, ask, now, &mut survey);
        }
        survey.best.is_some() || survey.due.is_some()
    }

    /// Whether some key is for that caller and no other.
    pub fn has_keys_of(&self, caller: &str) -> bool {
        self.callers.iter().any(|(name, _)| **name == *caller)
    }
}

fn obstacle(survey: &Survey) -> Option<(Obstacle, Option<&'static str>, Option<Moment>)> {
    if let Some((until, _, why)) = survey.untried {
        let limit = why.binding.map(Binding::name);
        return Some((Obstacle::Closed(why.cause), limit, Some(until)));
    }
    if let Some((until, why)) = survey.again {
        let obstacle = why.map_or(Obstacle::Tried, |why| Obstacle::Closed(why.cause));
        let limit = why.and_then(|why| why.binding).map(Binding::name);
        return Some((obstacle, limit, Some(until)));
    }
    if let Some(binding) = survey.oversized {
        return Some((Obstacle::Oversized, Some(binding.name()), None));
    }
    if !survey.forbidden.is_empty() {
        return Some((Obstacle::Forbidden, None, None));
    }
    (!survey.invalid.is_empty()).then_some((Obstacle::Invalid, None, None))
}
