-- Accounts that a campaign has not come to the end of.
CREATE VIEW live_campaign_accounts AS
SELECT * FROM campaign_accounts WHERE state NOT IN ('done', 'failed', 'left');
