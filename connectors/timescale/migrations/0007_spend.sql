-- What workers were granted of each day's budget, in dollars. It grows before a call is made, and what was not used is
-- given back; what is never given back (a worker died) counts as spent.
create table budgets (
    day     date not null,  -- in UTC
    scope   text not null,  -- 'total', or 'tenant/' and the tenant
    granted numeric not null default 0,
    primary key (day, scope)
);

-- What calls to models cost.
create table spend (
    day               date not null,  -- in UTC
    tenant            text not null,
    endpoint          text not null,
    model             text not null,
    calls             bigint not null,
    prompt_tokens     bigint not null,
    cached_tokens     bigint not null,
    completion_tokens bigint not null,
    usd               numeric not null,
    -- Of calls that nobody knows the end of: what they cost at the most.
    unsettled_usd     numeric not null,
    primary key (day, tenant, endpoint, model)
);
